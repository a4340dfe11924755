"""Names of columns, and how much each speaks for a role.

Belongs here: names, in the languages that exports are written in. Does not belong here: weighing them against the
values (`columns`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final


def plain(name: str) -> str:
    """Return *name* without case, accents and separators: `user_id`, `userId` and `UserID` are `userid`."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^\w$]|_", "", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def _also(weight: float, *names: str) -> dict[str, float]:
    return {plain(name): weight for name in names}


#: Names that speak for a role, by how much, as `plain` gives them.
TIME: Final = {
    "timestamp": 1.0, "eventtime": 1.0, "eventtimestamp": 1.0, "occurredat": 1.0, "time": 0.95, "ts": 0.9,
    "datetime": 0.9, "createdat": 0.85, "eventdate": 0.85, "clienttime": 0.85, "eventat": 0.85, "happenedat": 0.9,
    "date": 0.75, "created": 0.75, "createdon": 0.75, "loggedat": 0.8, "at": 0.8, "when": 0.8, "sentat": 0.6,
    "receivedat": 0.6, "insertedat": 0.5, "updatedat": 0.3, "modifiedat": 0.3, "birthdate": -1.0, "expiresat": -1.0,
    "hiredate": 0.1, "deletedat": -1.0, "lastseen": 0.1, "updated": 0.3,
    "day": 0.6, "timeutc": 0.9, "timestamputc": 0.95, "datetimeutc": 0.9, "eventtimeutc": 0.9, "visitstarttime": 0.8,
} | _also(
    0.8, "Zeit", "Zeitpunkt", "Zeitstempel", "Uhrzeit", "Datum", "Ereigniszeit", "erstellt", "erstellt am",
    "Datum Uhrzeit", "horodatage", "date heure", "date et heure", "heure", "créé le", "date événement", "fecha",
    "fecha hora", "fecha y hora", "hora", "creado en", "marca de tiempo", "data", "data ora", "data hora", "ora",
    "horário", "criado em", "carimbo de data", "tijd", "tijdstip", "datum tijd", "tidpunkt", "tid", "czas",
    "data i czas", "время", "дата", "дата и время", "日時", "時刻", "时间", "日期", "時間", "시간", "일시",
)  # fmt: skip
EVENT: Final = {
    "event": 1.0, "eventname": 1.0, "eventtype": 0.95, "action": 0.85, "activity": 0.85, "actionname": 0.85,
    "eventaction": 0.8, "verb": 0.8, "type": 0.75, "what": 0.7, "operation": 0.65, "kind": 0.6, "activitytype": 0.8,
    "name": 0.45, "method": 0.35, "topic": 0.4, "eventcode": 0.7, "actiontype": 0.8, "message": 0.2,
    "mpeventname": 0.95, "eventtext": 1.05,
} | _also(
    0.8, "Ereignis", "Ereignisname", "Aktion", "Vorgang", "événement", "nom événement", "évènement", "evento",
    "nombre evento", "acción", "nome evento", "azione", "ação", "gebeurtenis", "actie", "händelse", "hendelse",
    "zdarzenie", "akcja", "событие", "действие", "イベント", "イベント名", "アクション", "事件", "事件名称", "이벤트",
)  # fmt: skip
USER: Final = {
    "userid": 1.0, "distinctid": 1.0, "user": 0.9, "uid": 0.85, "customerid": 0.85, "memberid": 0.85,
    "personid": 0.85, "userid_": 0.8, "subscriberid": 0.8, "contactid": 0.7, "profileid": 0.7, "customer": 0.75,
    "accountid": 0.6, "username": 0.75, "login": 0.6, "useremail": 0.7, "email": 0.6, "author": 0.55, "actor": 0.7,
    "actorid": 0.9, "useruuid": 0.9, "client": 0.4, "clientid": 0.45, "member": 0.7, "player": 0.6, "playerid": 0.75,
    "patientid": 0.5, "employeeid": 0.4, "owner": 0.3, "customeruniqueid": 0.8, "buyerid": 0.7, "userlogin": 0.7,
    "authorid": 0.6, "createdby": 0.4, "driverid": 0.5, "studentid": 0.6, "panelistid": 0.7,
    "person": 0.6, "who": 0.6,
} | _also(
    0.8, "Benutzer", "Benutzer-ID", "Nutzer", "Nutzer-ID", "Kunde", "Kunden-ID", "Kundennummer", "Kundennr",
    "utilisateur", "id utilisateur", "utilisateur id", "usuario", "id usuario", "usuario id", "cliente", "id cliente",
    "utente", "id utente", "usuário", "id usuário", "gebruiker", "gebruiker id", "klant", "klant id", "användare",
    "bruger", "bruker", "użytkownik", "klient", "пользователь", "id пользователя", "клиент", "ユーザー", "ユーザーid",
    "用户", "用户id", "使用者", "사용자", "고객",
)  # fmt: skip
ANONYMOUS: Final = {
    "anonymousid": 1.0, "anonid": 1.0, "deviceid": 0.9, "visitorid": 0.9, "userpseudoid": 0.95, "cookieid": 0.85,
    "cookie": 0.6, "browserid": 0.8, "fingerprint": 0.6, "installationid": 0.8, "clientid": 0.4, "visitor": 0.7,
    "guestid": 0.7, "anonymous": 0.5, "installid": 0.8,
    "fullvisitorid": 0.85, "mpdeviceid": 0.8, "sessionid": 0.35, "session": 0.3,
} | _also(0.7, "Geräte-ID", "Besucher-ID", "id appareil", "id visiteur", "id dispositivo", "id visitante")  # fmt: skip
ID: Final = {
    "eventid": 1.0, "id": 0.9, "uuid": 0.95, "eventuuid": 1.0, "messageid": 0.95, "insertid": 1.0, "recordid": 0.85,
    "guid": 0.85, "rowid": 0.7, "logid": 0.85, "requestid": 0.6, "hitid": 0.85, "entryid": 0.7, "transactionid": 0.7,
    "orderid": 0.65, "key": 0.4, "activityid": 0.85, "actionid": 0.7, "$insertid": 1.0, "hash": 0.5,
    "mpinsertid": 0.95,
} | _also(0.8, "Ereignis-ID", "id événement", "id evento")  # fmt: skip
#: Objects that stand for a person: `actor.id`.
PEOPLE: Final = frozenset({"user", "actor", "customer", "person", "member", "visitor", "author", "account", "profile"})
