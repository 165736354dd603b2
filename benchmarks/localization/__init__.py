"""The localization benchmark, started by `localization.py`.

`cases` says what there is to do and what came of it, `running` has it done by processes, one for each network
and exporter, in which `trials` asks the product. `scoring` judges, `tables` shows. The networks are those of
`subjects` and `unseen`. `cost` and `peers` stand beside it.
"""
