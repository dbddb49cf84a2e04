"""Archives: wheels, zips and source archives; deterministic when written, distrustful when read."""
