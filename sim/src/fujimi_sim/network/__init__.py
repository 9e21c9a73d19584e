"""Networks: routes, loads, collectives and what they cost."""
