"""The memory: what was asked, answered and how it was judged, kept once each, and the data sets made of it."""
