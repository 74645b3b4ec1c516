"""What people do with what the app shows: clicks, modals, slash commands, shortcuts, the App Home."""
