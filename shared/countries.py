"""Countries as passports name them: three letters, ISO 3166-1 and what ICAO Doc 9303 adds to it."""

from __future__ import annotations

from typing import Final

from babel import Locale
from babel.core import get_global

# ISO 3166-1 alpha-3, 249 codes
_CODES: Final = """
ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR
BHR BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG
COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH
FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY
HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM
KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL
MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR
NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU
SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA
TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB
VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE
"""
_COUNTRIES: Final = frozenset(_CODES.split())
# ICAO Doc 9303-3, section 5: British nationals who are no citizens, Kosovo, the United Nations, and
# persons without a state or of none that is known. {code: the territory whose name it goes by}
_OF_ICAO: Final = {
    "GBD": "GBR", "GBN": "GBR", "GBO": "GBR", "GBP": "GBR", "GBS": "GBR",
    "RKS": "", "UNO": "", "UNA": "", "XXA": "", "XXB": "", "XXC": "", "XXX": "",
}  # fmt: skip


def normalise_country(text: str) -> str:
    """The code as it is compared: no spaces around it, capitals."""
    return text.strip().upper()


def is_country(text: str) -> bool:
    """Whether somebody's passport can name it as their nationality."""
    code = normalise_country(text)
    return code in _COUNTRIES or code in _OF_ICAO


def country_name(text: str, language: str) -> str:
    """Its name in that language; what has none there goes by its code."""
    code = normalise_country(text)
    [territory, *_] = get_global("territory_aliases").get(_OF_ICAO.get(code, code), [""])
    name = Locale.parse(language, sep="-" if "-" in language else "_").territories.get(territory)
    return name if name and is_country(code) else code
