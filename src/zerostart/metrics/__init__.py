"""The judge: COCO metrics, working points, calibration, and how sure a number is."""
