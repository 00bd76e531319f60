"""Adds the C core to what pyproject.toml says."""

from setuptools import setup

setup(
    cffi_modules=["crossdomain/native/build.py:ffibuilder"],
    # One wheel for all Pythons from 3.11 on: the core uses the stable ABI.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
