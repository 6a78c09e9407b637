$hex = [string]::Join('', @([Text.Encoding]::UTF8.GetBytes($OK.words) | ForEach-Object { $_.ToString('x2') }))
$OK.words
'{"hex": "' + $hex + '", "text": "' + $OK.words.Replace('\', '\\').Replace('"', '\"') + '"}'
