"""What setup.cfg cannot say: the compiled part, built where there is a C compiler. Elsewhere Python does its work."""

import sysconfig

from setuptools import Extension, setup

# The limited API of CPython 3.11 (PEP 384): one build does for every version since. Free-threaded ones have none.
limited = not sysconfig.get_config_var("Py_GIL_DISABLED")

PARTS = ["tokenwire.families._alike", "tokenwire.wire._runs"]

setup(
    ext_modules=[
        Extension(part, [f"lib/{part.replace('.', '/')}.c"], optional=True, py_limited_api=limited) for part in PARTS
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
