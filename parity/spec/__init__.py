"""The specification file: YAML -> `Spec`, with the place of everything in it.

`yaml_nodes` text to nodes with places, `schema` the types, `fields` the kinds of single values,
`contradictions`, `distributions` and `files` what types can't say, `messages` what went wrong in a reader's
words, `loading` all of it in order. `numerics` has the presets; `json_schema` and `document` make what
editors and people read.
"""
