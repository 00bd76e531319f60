"""Fuzzing: everything that a guest, a VMM or a launcher can say, in any order and of any bytes.

`targets` are Python and guided by coverage with atheris, from seeds and from what earlier runs have
`reached`; `native` is C and guided by libFuzzer under sanitizers; `sessions` is a state machine over whole
sessions of two VMs.  An execution either ends with a result or a `CrossDomainError`; everything else is a
finding: another exception, also in a callback of the loop, a descriptor left open, memory without bounds,
time without end.

`python -m tests.fuzz` runs all for FUZZ_SECONDS each; `test_fuzz.py` for a moment, the same each time.
"""
