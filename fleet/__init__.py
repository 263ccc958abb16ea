"""The server: releases, rollouts, the truth about every device, and the pages that show it."""
