"""Records of the MIT-BIH arrhythmia database, from PhysioNet or a folder. Each file is checked by its SHA-256.

Moody and Mark (2001), doi:10.1109/51.932724; PhysioNet, doi:10.13026/C2F305; Open Data Commons Attribution 1.0.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import RefusedError
from trainer.data import download
from trainer.data.download import DownloadError
from trainer.data.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

URL = "https://physionet.org/files/mitdb/1.0.0/"
ALL = "mitdb"
SUFFIXES = (".hea", ".dat", ".atr")
MAX_BYTES = 4 * 1024 * 1024  # of a file; the largest has 1,950,000


@dataclass(frozen=True, slots=True)
class RecordFolder:
    """A folder that has the files."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def content(self, file: str) -> bytes:
        """The bytes of a file, at most MAX_BYTES + 1. Raises SourceError."""
        try:
            with (self.path / file).open("rb") as opened:
                return opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise SourceError(f"{self.path / file}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class RecordUrl:
    """A URL below which the files are."""

    url: str = URL

    @property
    def name(self) -> str:
        return self.url

    def content(self, file: str) -> bytes:
        """The bytes of a file, at most MAX_BYTES. Raises SourceError."""
        url = f"{self.url.rstrip('/')}/{file}"
        try:
            return download.body(url, MAX_BYTES)
        except DownloadError as error:
            raise SourceError(f"{url}: {error}; name a folder that has the records with --from") from error


def source(place: str | None) -> RecordFolder | RecordUrl:
    """PhysioNet, or the source that a person named. Raises RefusedError for a URL that is not http or https."""
    if place is None:
        return RecordUrl()
    if "://" not in place:
        return RecordFolder(Path(place))
    download.require_web(place)
    return RecordUrl(place)


def records(names: Sequence[str]) -> tuple[str, ...]:
    """The records of these names, each once; `mitdb` means all. Raises RefusedError for a name without a checksum."""
    for name in names:
        if name not in (ALL, *RECORDS):
            raise RefusedError(
                f"{name!r:.40} is not a MIT-BIH record whose checksum is known here: name {ALL} for all, or some of "
                f"{', '.join(RECORDS)}"
            )
    return RECORDS if ALL in names else tuple(dict.fromkeys(names))


def fetch(out: Path, names: Sequence[str], place: RecordFolder | RecordUrl) -> int:
    """Put records into the folder `out`; those that are there, with the right checksums, stay. Returns how many came.

    A record is there as a whole or not at all. Raises SourceError if a file cannot be had or is another one, and
    RefusedError if `out` cannot be written to.
    """
    missing = [name for name in names if not all(_is_right(out / file) for file in _files(name))]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in missing:
            _fetch_whole(out, name, place)
    except OSError as error:
        raise RefusedError(f"{out}: cannot be written to: {error.strerror or error}") from error
    return len(missing)


def _fetch_whole(out: Path, name: str, place: RecordFolder | RecordUrl) -> None:
    with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as temporary:
        for file in _files(name):
            (Path(temporary) / file).write_bytes(_checked(file, place))
        for file in _files(name):
            (Path(temporary) / file).replace(out / file)


def _files(name: str) -> tuple[str, ...]:
    return tuple(name + suffix for suffix in SUFFIXES)


def _checked(file: str, place: RecordFolder | RecordUrl) -> bytes:
    content = place.content(file)
    if hashlib.sha256(content).hexdigest() != CHECKSUMS[file]:
        raise SourceError(f"{place.name}: its {file} is not that of the MIT-BIH database (the checksum differs)")
    return content


def _is_right(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MAX_BYTES + 1)).hexdigest() == CHECKSUMS[path.name]
    except OSError:
        return False


_SHA256 = """
8d8a5349fb16638ebbf649f1779d12e96d91b736b2aafe59db43719ae583d471  100.atr
b2ea3c250e56e48f4b7b90697832b8ecd1afa1e0bb31f2dcfea4ed6e1075a639  100.dat
db882392a66ccc4dee10104082cffa1a6f7fd9dd7d55c281c8345b3c7b9a2a6f  100.hea
441cdd6486cfdf4c53e344d1048ab81296773e7058d53069022adc68543a0663  101.atr
698d1ea6f472d23ca50317c72c96cda2698badd8578220ed0380cdf241e39006  101.dat
bc8dfbf076c5635bfe5319bba1aa5244dd32fac8d142476396a41f597d47f686  101.hea
392ce37fbc7e89b3f14998e197a844f23cce6a3db6edaa71b4b49bf3ca5b6596  103.atr
f7994f0bd196730779998b4bddf26cb47f396599fb370a08b5cb29a3ac4d555d  103.dat
c327a1ba393165f2503a34eaf2d136b502c50baca945f8f4d70c317e19ec0a27  103.hea
278d534c1ad952a6d41db963b6b2b00be070d8dd5fa66545caa5c18edcc36497  105.atr
fcd0153dfea69c749194bb73de7db124588857cfa2f6aecb72754894c8afde02  105.dat
0546efab08d52d00de1924f8c49180b9730bb0b89d40affdfe748de1afc66ad8  105.hea
585347e6d1bd3ad89cdb52cb80945878a5e51026d81f871a376bb6e13936f7fa  106.atr
c017bc18b95b1f970bca143a044ee5d54168648b541e47aa656f2737a59c1202  106.dat
edda68c7de6d1101b23d4f71822dd5660f48db02e8184e048a617a2d60addfe0  106.hea
ea227008ac3bc4ada87807117909e77ae0643d5a8bc09f32b9096a35f140cbf3  108.atr
229a4ef62679dc5c6ea781bfbaec2bd784151fc9f9517f4cdecd533a9431eb20  108.dat
2cb0924c50f6e1a5b48c77150cc4da07831ca0eb93d1d5f0a13341b834832c69  108.hea
2eef456587bab17263a126063321c040affa29bc4ccfdf2a2bc7fe50709fa1b8  109.atr
267afd6ced7a1fd5a8bcd21fcc2b83287e37e3ef57f32e8a0fe39a6e021951cd  109.dat
a6bce66705571919ccdf600a1fd608909f32cfb8503c88b7f982b5cf4bd3a075  109.hea
372ed78bb0bbe7d5d9dc7e676c03d72530729775b5cfa94501485329fc47b8cb  111.atr
8372d98ae59fbfd023502a9d0fc03fb5383083da92584b964484e18593e08485  111.dat
290248837d274422166b2c9c77300c3db0c03de4346c020db958579fbc1e6e89  111.hea
69cf7ee24d65a5430162ae9b6452be9d4855c2af47f91976b7f02038ea115002  112.atr
3c7af9758687314255b5d946a58d9509d53ecf2a300230684fa8ecf00b774bdb  112.dat
85fb50d4266532034441c15836fa39912793cfa5e4dc76dd5325036e00f8767a  112.hea
39527d597a246410d2c16f062600c73271a73a7503d49cafd1d17508af4cd432  113.atr
f5509b71dabaaa11c53f687ee17aab0071bce3d471e2ab77c71a6434f5b7aacf  113.dat
6b5f87ceafafd52f7748fd514eac10a2ec314486ae83586c6e87845344bf4d8f  113.hea
5280acb082b654d64944137987a00fbc2105b3a3fcdda75d0bf11d4644e40d9f  114.atr
2ae83463edcfec256b79ce93716dcb40f289bacbe9e5e7a66cd00d0a31099d4b  114.dat
ed7dd8ae360cc5badf544e3b97161c7a327600926e87ac2d86222cb82a1c0478  114.hea
4980667b19b7a637729d40762f071b483d69f5431db818cbddc9a8ae64cc4da2  115.atr
34185efe9889608c76ebfbf5a467d3457970c6d11b77a2bf81b94bcf46e07c41  115.dat
4f41f62fd60b092afc3f1dd312dee3ed991aff64e4ffcc6a69414d38db2b7d2e  115.hea
abd31e2c878073e67319d5a6fa34923fe117cca02e5c80318378405c853ccbef  116.atr
0ab38cfca76d816673213dcd570504bb3ab02ef76d51540fd7a6075bc580ad85  116.dat
5b4baa75858f44e207c8c2dd434d2518f5f06f6dad7679e1ec5c23860d8fa418  116.hea
232beaacf4a4eb4b6d2f2242f01ecae3d2842be1dd0afe890037ae050f91ce63  117.atr
2ce7de6f20baf4cfef0369f9a13fa53784d18e2da78c11afa1e4c55e8ad1900e  117.dat
82d1597bece858f85f6f3b91558e409ffec247c26fccf0c805893b51d2e12fe8  117.hea
77afd5400648d128223d5029a49c442f5abd65ba997f732489cb8eed39d71551  118.atr
66ea4b70b7d64abd0f49089ae1b8f0f577664c46e5b29ac23b291934e063df15  118.dat
331013824d0cebbb82fa290ced889b1cb79d8d91d4c4e0f5fd8c445bafc10642  118.hea
fd919c8ea20eed4a22fb37984977f30ce48d382eefd2d90934bf947a88e0fd7b  119.atr
02a286a28e69b441568add915f16a2856b22bab893bf8729ee9654411ed3a5aa  119.dat
587152d9e7767ef9854e5a923f3a8e7715aad738ca8ee7e29373ce394dd6843e  119.hea
dbda472aa08eeb6bbbf775b8123e466a7ee57638caecd156407de3141c9fa71c  121.atr
679f374a7b2557fed04a4bc5648301ce9bdd38e5a4f13b2e63ebbcf7cb3fb482  121.dat
fa97bd556fc696b806c9cfc2bcea6dbe915be29fd6c29865418cc7399a95fe4b  121.hea
34966d92a94c72126253c0297407cff78e53be1f72c6814e28676bcda8be90de  122.atr
a700c794bfe23565603d75dc5706915f5436e522802d260e758683d11f5b9e13  122.dat
1c1bfe1f2e3a4deed75852f2917457aaf598a1f7e27c397863909b4844a30192  122.hea
061bfd2590fd9d6040d32741a19697491dedb65cbbc5b3865a5c50d49f52d709  123.atr
8a685a846b82d72aac4dd86171ad0fe5b19c0bd9ce51ddc1e6f015f73b2d8c3a  123.dat
ea8fdca40fc7f5f556db710b70ab69c46f2cc0cc34e26f32392d9db65fd6228a  123.hea
f9c8cac368f1f6ba8895ae47f5771c82597374c1e6b030385ca2eb186454677c  124.atr
296988e49d2653eb499ad0b17c46826b4296b7eaf94df3f76f1ba2dcdf6bc48b  124.dat
3338829e3c05b0bc866bc1106a7efa34921f717069fce9f774c816fcef3bf566  124.hea
33878519ee34d00cb233fdb15b11c2b8da0b0aea2e643d31b07105cc3392edf4  208.atr
22873623623c44ee413a5b60cacb15d4af2723734836fb3ae45d9ff96bdb36e7  208.dat
64c411f07144519ef0070e7aa7b292ffa2a2a0b63be44ca90bb1ac970cc23cf2  208.hea
"""
CHECKSUMS = {name: digest for digest, name in (line.split() for line in _SHA256.split("\n") if line)}
RECORDS = tuple(dict.fromkeys(Path(name).stem for name in CHECKSUMS))
