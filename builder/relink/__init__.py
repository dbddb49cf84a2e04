"""Make a wheel self-contained: resolve what its binaries need, graft, relink, and prove the tag."""
