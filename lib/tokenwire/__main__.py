"""python -m tokenwire: the command line."""

from tokenwire.cli import main

raise SystemExit(main())
