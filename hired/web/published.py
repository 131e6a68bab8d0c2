"""The paper's numbers, cited for the Benchmarks tab."""

PUBLISHED = """
### What the paper reports
Cited from [arXiv 2408.10945](https://arxiv.org/abs/2408.10945), LLaVA-NeXT-7B; not measured here.

| Tokens kept | VQAv2 | SQA | TextVQA | DocVQA | OCRBench | MME | POPE | ChartQA |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| all | 80.3 | 73.2 | 64.8 | 73.4 | 501 | 1519 | 87.6 | 54.8 |
| HiRED 40 % | 78.8 | 73.8 | 63.6 | 68.7 | 488 | 1474 | 88.2 | 46.5 |
| HiRED 20 % | 77.5 | 73.4 | 61.4 | 60.8 | 475 | 1483 | 87.0 | 42.0 |
| Spatial 40 % | 77.7 | 68.0 | 57.0 | 58.9 | 369 | 1401 | 87.2 | 39.0 |

On a Tesla P40 (24 GB), batch of one:

| Tokens kept | Tokens/s | To the first token | Peak memory |
| --- | --- | --- | --- |
| all | 0.49 | 19.49 s | 16.04 GB |
| HiRED 40 % | 1.40 | 6.91 s | 14.33 GB |
| HiRED 20 % | 2.30 | 4.21 s | 13.76 GB |

Its tokens per second count 15 new tokens over preparing, prefill and decoding together, so the
4.7× is mostly prefill. Here the phases are always timed apart. A small model on a fast machine
spends little time in prefill and gains little; a 7B model spends most of it there.
"""
