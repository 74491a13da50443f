"""One HTML file that says what was measured, how sure it is and where it fails; it needs no other.

facts (metrics.json), sections of pictures --> page --> index.html
"""
