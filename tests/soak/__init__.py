"""`make soak`: a mix of clients for as long as one likes, and whether anything grew meanwhile."""
