"""`python -m posthog_assets`: the command line, where its script is not on the path."""

from posthog_assets.cli.main import main

if __name__ == "__main__":
    main()
