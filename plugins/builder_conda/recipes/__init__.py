"""Projects' own conda recipes: rendered, built by rattler-build or conda-build, judged, written again, tested."""
