"""Which providers can be asked from here, and which models they have. Run it: python discovery.py [PROVIDER …]"""

import sys

from llmclients import APIError, Client, ConfigurationError, provider_names

for name in sys.argv[1:] or provider_names():
    try:
        with Client(name, timeout=5, retry=None) as client:
            models = client.models()
    except ConfigurationError as error:  # no key, or no address
        print(f"{name}: {error}")
    except APIError as error:  # nobody there, or a wrong key
        print(error)
    else:
        print(f"{name}: {len(models)} models, {', '.join(models[:3])}")
