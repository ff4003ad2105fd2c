#!/usr/bin/env python3
"""Makes a fixture of a capture of IKEv2 messages: the octets, and what tshark reads in them.

  extract.py PCAP CAPTURED_FROM [KEYS] > NAME.json

KEYS is the row of Wireshark's ikev2_decryption_table, without quotes:
  SPI_I,SPI_R,SK_ei,SK_er,ENCR,SK_ai,SK_ar,INTEG
A field is its tshark name and the hexadecimal digits that stand in the message; of bit fields it
is their value. Debian package: tshark.
"""
import json
import subprocess
import sys
import xml.etree.ElementTree as ET

HEADER = ['isakmp.' + name for name in (
    'ispi', 'rspi', 'nextpayload', 'mjver', 'mnver', 'exchangetype', 'flag_i', 'flag_v', 'flag_r',
    'messageid', 'length')]
EAP = ('eap.code', 'eap.id', 'eap.len', 'eap.type')
WHOLE = ('isakmp.auth.data',)
OUTSIDE = ('isakmp.nextpayload', 'isakmp.payloadlength', 'isakmp.frag.number', 'isakmp.frag.total')
KEY_NAMES = ['spiI', 'spiR', 'skEi', 'skEr', 'encryption', 'skAi', 'skAr', 'integrity']


def dissect(pcap, keys):
    options = []
    if keys:
        row = ['"%s"' % x if i in (4, 7) else x or '""' for i, x in enumerate(keys)]
        options = ['-o', 'uat:ikev2_decryption_table:' + ','.join(row)]
    run = ['tshark', '-r', pcap, *options, '-Y', 'isakmp && !icmp', '-T', 'pdml']
    return ET.fromstring(subprocess.run(run, capture_output=True, check=True).stdout)


def child(element, name):
    return next((f for f in element if f.get('name') == name), None)


def leaves(element):
    """The fields without fields of their own, in the order of the message."""
    for field in element:
        name, value = field.get('name') or '', field.get('value')
        if len(field) and name not in WHOLE:
            yield from leaves(field)
        elif value and (name.startswith('isakmp.') or name in EAP):
            yield [name, value]


def payload_type(element):
    """Of `Payload: Notify (41) - COOKIE` the number in the first parentheses with one."""
    inside = (part.split(')')[0] for part in element.get('showname').split('(')[1:])
    return int(next(text for text in inside if text.isdigit()))


def payload(element):
    entry = {'type': payload_type(element), 'octets': element.get('value'), 'fields': list(leaves(element))}
    if entry['type'] in (46, 53):
        entry['fields'] = [[f.get('name'), f.get('value')] for f in element if f.get('name') in OUTSIDE]
        decrypted = child(element, 'isakmp.enc.decrypted')
        if payloads(element):  # of the last fragment: what all fragments hold together
            entry['reassembled'] = payloads(element)
        elif decrypted is not None and entry['type'] == 46:
            contained = child(decrypted, 'isakmp.enc.contained')
            entry['inner'] = [] if contained is None else payloads(contained)
    return entry


def payloads(element):
    return [payload(field) for field in element if field.get('name') == 'isakmp.typepayload']


def message(packet):
    protos = {proto.get('name'): proto for proto in packet}
    digits = child(protos['udp'], 'udp.payload').get('value')
    first = {}
    for name, value in leaves(protos['isakmp']):
        if name in HEADER:
            first.setdefault(name, value)
    marker = digits.startswith('00000000')
    return {
        'marker': marker,
        'data': digits[8:] if marker else digits,
        'header': first,
        'payloads': payloads(protos['isakmp']),
    }


def main():
    pcap, source, keys = sys.argv[1], sys.argv[2], sys.argv[3].split(',') if len(sys.argv) > 3 else None
    version = subprocess.run(['tshark', '--version'], capture_output=True, text=True).stdout
    head = {
        'source': source,
        'dissector': version.split('(')[0].strip() + ' ' + version.split()[2],
        'keys': keys and dict(zip(KEY_NAMES, keys)),
    }
    lines = [json.dumps(message(packet)) for packet in dissect(pcap, keys)]
    print(json.dumps(head)[:-1] + ', "messages": [\n' + ',\n'.join(lines) + '\n]}')


main()
