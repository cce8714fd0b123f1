"""From shapes to shear: sums, selections, m and c."""
