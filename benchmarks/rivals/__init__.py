"""One file each: a library as its own documentation writes it. What a module must have: see harness.py."""
