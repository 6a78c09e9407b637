# Reads only. Which of the services that matter run right before the change.
$running = @()
foreach ($name in @($OK.services)) {
    foreach ($service in @(Get-Service -Name $name -ErrorAction SilentlyContinue)) {
        if ($service -and $service.Status -eq 'Running') { $running += '"' + $service.Name + '"' }
    }
}
'{"running": [' + [string]::Join(', ', $running) + ']}'
