# Changes nothing: ends the endpoint's run, with every reason.
[Console]::Error.WriteLine("not now: $($OK.reasons)")
exit 3
