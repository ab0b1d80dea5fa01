// Every official client of npm against every kind of upstream (matrix/table.mjs). A new client is a new file of
// matrix/clients, a new upstream one of matrix/upstreams. Those of PyPI are in tests/python.
import { matrix } from './matrix/table.mjs';
import { modules } from './matrix/kit.mjs';

matrix(await modules('./clients'), await modules('./upstreams'));
