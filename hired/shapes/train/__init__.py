"""The training of the embedded model, from the seed to the weights that ship.

Importing this package imports no torch. Files, in the order of a training:
`schedule` (the plan); `tile_targets`, `document_tiles` (tiles with targets) -> `batches` ->
`clip_init`, `text_heads`, `closing`, `vision_stage` (the CLIP tower); `assemble` (the stock
LLaVA-NeXT around it) -> `llama_init`, `meanings`, `one_tile`, `seen`, `packed_questions`,
`token_targets`, `language_stage` -> `courses`; `optimiser` and `attention` serve both stages,
`checkpoints` keep what an interrupted one goes on from; `training` runs all of it.
"""
