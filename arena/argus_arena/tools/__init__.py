"""What the commands around training do: caching, checking, predicting, rescoring."""
