"""`N passed, N failed` of a JUnit report, a test being an operation; a run that failed without one counts as well."""
import sys
import xml.etree.ElementTree as tree

path, code = sys.argv[1], int(sys.argv[2])
failed, passed = 0, 0
for case in tree.parse(path).getroot().iter("testcase"):
    if case.find("failure") is not None or case.find("error") is not None:
        print(f"not ok {case.get('name')}")
        failed += 1
    elif case.find("skipped") is None:
        passed += 1
if code != 0 and failed == 0:
    failed = 1
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
