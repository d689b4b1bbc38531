"""The network after GAMD: direct forces from message passing."""
