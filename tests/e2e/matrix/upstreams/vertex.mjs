// Google Cloud's Vertex AI: a service account's key becomes a token, and the models of Gemini and of Claude lie below a
// project and a region, each with the protocol of its maker.
import { generateKeyPairSync, verify } from 'node:crypto';
import { demand, Refused, sendJson } from '../kit.mjs';
import * as anthropic from './anthropic.mjs';
import * as gemini from './gemini.mjs';

const project = 'gatehouse-1';
const region = 'europe-west4';
const email = `robot@${project}.iam.gserviceaccount.com`;
const token = 'ya29.of-the-robot';
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });

const account = (url) => ({
  type: 'service_account',
  project_id: project,
  private_key_id: 'kid-1',
  private_key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  client_email: email,
  token_uri: `${url}/token`,
});

// RFC 7523
function giveToken(one, res) {
  const form = new URLSearchParams(one.body);
  const jwt = form.get('assertion') ?? '';
  const [head, claims, signature] = jwt.split('.');
  const said = JSON.parse(Buffer.from(claims, 'base64url'));
  const signed = verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), pair.publicKey, Buffer.from(signature, 'base64url'));
  if (!signed || said.iss !== email || form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
    return sendJson(res, 400, { error: 'invalid_grant' });
  sendJson(res, 200, { access_token: token, expires_in: 3600, token_type: 'Bearer' });
}

function answer(one, res) {
  const url = new URL(one.url, 'http://mock');
  if (url.pathname === '/token') return giveToken(one, res);
  const place = new RegExp(`^/v1/projects/${project}/locations/${region}/publishers/(google|anthropic)/models/([^/:]+):(\\w+)$`);
  const [, publisher, model, method] = place.exec(url.pathname) ?? [];
  try {
    demand(one.headers.authorization === `Bearer ${token}`, 'Request had invalid authentication credentials.');
    demand(publisher, `no such path: ${one.url}`);
    const body = JSON.parse(one.body);
    if (publisher === 'google') return gemini.converse(model, method, body, url, res);
    const { anthropic_version, ...rest } = body;
    demand(anthropic_version === 'vertex-2023-10-16', 'anthropic_version: Field required');
    demand(!('model' in rest), 'model: Extra inputs are not permitted');
    demand((method === 'streamRawPredict') === (rest.stream === true), `${method}: a stream, or not`);
    anthropic.converse({ ...rest, model }, res);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    sendJson(res, 400, { error: { code: 400, message: e.message, status: 'INVALID_ARGUMENT' } });
  }
}

const provider = (url) => ({
  dialect: 'vertex',
  base_url: url,
  credentials: [{ name: 'main', secret: JSON.stringify(account(url)), region }],
});

export default [
  { name: 'vertex', answer, model: 'gemini-3-flash', provider },
  { name: 'vertex-claude', answer, model: 'claude-sonnet-4-6', provider },
];
