"""The control plane's HTTP API: parse a request, make one call of a service, present the answer."""
