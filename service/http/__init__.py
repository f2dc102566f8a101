"""What every HTTP interface of the server stands on: who comes in, what may be sent, how a refusal looks."""
