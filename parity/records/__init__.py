"""Frozen records that the stages hand each other. Plain data: no behaviour beyond simple properties.

`tensors` what is on disk, `jobs` host to worker, `outcomes` worker to host, `results` the report.
Every record encodes to JSON and is validated when it is decoded (msgspec).
"""
