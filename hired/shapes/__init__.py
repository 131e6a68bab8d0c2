"""The embedded demo model's world: posters of coloured shapes that carry digits, and documents.

Importing this package imports no torch. Files, in the order data takes:
`sprites` (one object's pixels) -> `scenes` (posters from seeds) -> `tiles` (training tiles with
targets); `lexicon`, `lettering` (words and their pixels) -> `documents` -> `sheet` -> `layouts`
(pages from seeds) -> `printing` -> `document_tiles`; both -> `batches` -> `tower`, `text_heads`,
`vision_stage` (the CLIP tower); `questions`, `page_questions` -> `pictures` (both halves as one)
-> `scoring`; `words` (tokenizer) -> `assemble` (the stock LLaVA-NeXT) -> `language_stage`;
`evaluate` answers test questions; `commands` is the CLI door.
"""
