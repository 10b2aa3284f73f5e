"""Speed side by side with named peers: in turn, in one run, as ratios."""
