set greeting=hello
for %%i in (1 2 3) do echo %greeting% %%i
if not "%greeting%"=="hello" exit /b 4
exit /b 0
