"""What the judging task types share: how a model is asked, how its answer is read, when a task runs at all. Pure."""
