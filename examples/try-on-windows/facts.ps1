$mode = [string]$ExecutionContext.SessionState.LanguageMode
$page = [Console]::OutputEncoding.CodePage
'{"version": "' + $PSVersionTable.PSVersion + '", "mode": "' + $mode + '", "chcp": ' + $page + '}'
