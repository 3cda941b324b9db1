"""Faults of a data set, found in cached tokens: copies, doubtful labels, outliers, and what a split does not cover."""
