"""Several heads or data sets compared under the same conditions."""
