"""The reference leg: PyTorch as the user runs it, against the same operators in float64.

`finding` is the way in: why the reference is off its own exact result. `shadow` runs the module and measures
every operator, `exact` has each in float64, `operators` knows their kinds. `repeatability` says why two runs
differ, `random_nodes` the same of an ONNX file; `devices` and `inputs` look at what goes in.
"""
