"""The embedded demo model's world: posters of coloured shapes that carry digits.

Importing this package imports no torch. Files, in the order data takes:
`sprites` (one object's pixels) -> `scenes` (posters from seeds) -> `tiles` (training tiles with
targets) -> `tower`, `vision_stage` (the CLIP tower) ; `questions` (grammar) -> `words` (tokenizer)
-> `assemble` (the stock LLaVA-NeXT) -> `language_stage`; `evaluate` answers test questions;
`commands` is the CLI door.
"""
