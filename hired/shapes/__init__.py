"""The world of the embedded demo model: posters of coloured shapes with digits, and documents.

Importing this package imports no torch. Files, in the order data takes:
`sprites` (one object's pixels) -> `scenes` (posters from seeds); `lexicon`, `lettering` (words and
their pixels) -> `documents` -> `sheet` -> `layouts` (pages from seeds) -> `printing`; `questions`,
`page_questions` -> `pictures` (both halves as one) -> `scoring`, `points` (of the examples);
`words` (tokenizer); `train` makes the weights; `evaluate` answers test questions, `examples`
chooses the bundled pictures by the answers; `commands` is the CLI door.
"""
