"""The check suite: what proves a package sound, on its bytes and in a clean environment.

`report` has the results, `subject` what a check looks at, `checks` the catalogue, `runner` runs it,
and `probes` holds the scripts that run inside the environment under test.
"""

from __future__ import annotations
