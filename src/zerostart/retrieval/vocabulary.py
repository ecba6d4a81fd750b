"""What the retrieval pipeline can say about a crop: zones, areas, damage types, severities."""

UNKNOWN = "unknown"

ZONES = {
    1: "front_left_fender",
    2: "hood_center",
    3: "front_right_fender",
    4: "rear_left_quarter",
    5: "rear_bumper",
    6: "rear_right_quarter",
    7: "driver_side_door",
    8: "driver_side_rocker",
    9: "passenger_side_door",
    10: "passenger_side_rocker",
}
"""Zone numbers of the file names and their names."""

AREAS = {
    "frontal": (1, 2, 3),
    "posterior": (4, 5, 6),
    "lateral_left": (7, 8),
    "lateral_right": (9, 10),
}

LABELS = {
    1: "surface_scratch",
    2: "dent",
    3: "paint_peeling",
    4: "deep_scratch",
    5: "crack",
    6: "missing_part",
    7: "missing_accessory",
    8: "misaligned_part",
}
"""Labels of the polygons and their damage types."""
IGNORED_LABEL = 9

DAMAGE_TYPES = (*LABELS.values(), "scratch", "broken")
"""Every damage type; the last two come from data sets that do not tell a surface scratch from a deep one."""

SEVERITIES = ("minor", "moderate", "severe")
"""From the least to the worst; `unknown` beside them."""


def area_of(zone: str) -> str:
    """The area of a zone's name; `unknown` for the unknown zone."""
    return next((area for area, numbers in AREAS.items() if zone in [ZONES[n] for n in numbers]), UNKNOWN)
