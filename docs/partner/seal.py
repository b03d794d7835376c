"""Encrypts standard input to the office: python3 seal.py keys.json < person.json > person.jwe

keys.json is the office's key set, as it is fetched. Needs `pip install joserfc`.
"""

import json
import sys
from pathlib import Path

from joserfc import jwe
from joserfc.jwk import ECKey

key = json.loads(Path(sys.argv[1]).read_text())["keys"][0]  # the first is the one to use now
header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"]}
sealed = jwe.encrypt_compact(
    header, sys.stdin.buffer.read(), ECKey.import_key(key), algorithms=["ECDH-ES", "A256GCM"]
)
sys.stdout.write(sealed)
