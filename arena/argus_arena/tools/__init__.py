"""The commands around training: caching, checking, class vectors and scoring again."""
