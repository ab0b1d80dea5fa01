/*
 * The bytes that the hand-written builders of commit 1910481 made of these documents: what a plane
 * of that commit reads. A row that fails is a change of the wire, not of the test.
 */
static const struct golden {
    const char *noun, *id, *name;
    int64_t created_us;
    const char *spec, *hex;
} golden[] = {
    {"team", "team_0", "a name", 1764495000123456, "{}",
     "080212067465616d5f3018075a0f0a056f72675f31120661206e616d65"},
    {"team", "team_1", "Z\303\274rich \302\267 research", 1764495000123456,
     "{\"description\":\"for people\",\"models\":[]}",
     "080212067465616d5f3118075a200a056f72675f3112135ac3bc7269636820c2b72072657365617263681a02080"
     "1"},
    {"team", "team_2", "a name", 1764495000123456,
     "{\"models\":[\"gpt-4o-mini\",\"openai/"
     "*\",\"*\"],\"budget\":{\"limit_usd\":\"200.000000000\",\"period\":\"month\"},\"limits\":{"
     "\"rpm\":60,\"tpm\":4000000000,\"parallel\":4}}",
     "080212067465616d5f3218075a560a056f72675f31120661206e616d651a1c0801120b6770742d346f2d6d696e691"
     "2086f70656e61692f2a12012a221b0a0b7465616d3a7465616d5f321080c0ee8ed20b1a056d6f6e74682a0a083c10"
     "80d0acf30e1804"},
    {"team", "team_3", "a name", 1764495000123456,
     "{\"budget\":{\"limit_usd\":\"0.000000000\",\"period\":\"total\"}}",
     "080212067465616d5f3318075a270a056f72675f31120661206e616d6522160a0b7465616d3a7465616d5f3310001"
     "a05746f74616c"},
    {"team", "team_4", "a name", 1764495000123456, "{\"limits\":{}}",
     "080212067465616d5f3418075a110a056f72675f31120661206e616d652a00"},
    {"agent", "agent_5", "a name", 1764495000123456,
     "{\"team\":\"team_1\",\"session_from\":\"label\"}",
     "080312076167656e745f35180762190a056f72675f31120661206e616d651a067465616d5f313000"},
    {"agent", "agent_6", "a name", 1764495000123456,
     "{\"team\":\"team_1\",\"session_from\":\"trace\",\"tasks\":[\"task_1\",\"task_2\"],\"models\":"
     "[\"a\"],\"description\":\"x\"}",
     "080312076167656e745f36180762340a056f72675f31120661206e616d651a067465616d5f3122120801120674617"
     "36b5f3112067461736b5f322a0508011201613001"},
    {"agent", "agent_7", "a name", 1764495000123456, "{\"team\":\"team_1\"}",
     "080312076167656e745f37180762190a056f72675f31120661206e616d651a067465616d5f313000"},
    {"agent", "agent_8", "a name", 1764495000123456,
     "{\"team\":\"team_1\",\"session_from\":\"trace\",\"tasks\":[],\"models\":[]}",
     "080312076167656e745f38180762210a056f72675f31120661206e616d651a067465616d5f31220208012a0208013"
     "001"},
    {"task", "task_9", "a name", 1764495000123456, "{}",
     "080412067461736b5f3918076a0f0a056f72675f31120661206e616d65"},
    {"task", "task_10", "triage", 1764495000123456, "{\"description\":\"sorts tickets\"}",
     "080412077461736b5f313018076a0f0a056f72675f311206747269616765"},
    {"key", "k_11", "a name", 1764495000123456,
     "{\"digest\":\"abababababababababababababababababababababababababababababababab\",\"digest_"
     "kind\":\"hmac\",\"public_part\":\"abcdefghijkl\",\"revoked\":false,\"blocked\":false,"
     "\"team\":\"team_1\"}",
     "080512046b5f3131180772530a056f72675f31120661206e616d651a0c6162636465666768696a6b6c2220abababa"
     "babababababababababababababababababababababababababababab2a04686d61633a067465616d5f3160006800"
     "7000"},
    {"key", "k_12", "a name", 1764495000123456,
     "{\"digest\":\"abababababababababababababababababababababababababababababababab\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":false,\"agent\":\"agent_1\",\"models\":[],"
     "\"tasks\":[]}",
     "080512046b5f3132180772500a056f72675f31120661206e616d652220abababababababababababababababababa"
     "babababababababababababababab2a0673686132353632076167656e745f31420208014a020801600068017000"},
    {"key", "k_13", "a name", 1764495000123456,
     "{\"digest\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"digest_"
     "kind\":\"hmac\",\"public_part\":\"abcdefghijkl\",\"revoked\":false,\"blocked\":true,"
     "\"agent\":\"agent_1\",\"models\":[\"m\",\"x/"
     "*\"],\"tasks\":[\"task_1\"],\"budget\":{\"limit_usd\":\"5.000000001\",\"period\":\"day\"},"
     "\"limits\":{\"rpm\":60},\"expires_at\":\"2027-01-01T00:00:00.000000Z\"}",
     "080512046b5f31331807728e010a056f72675f31120661206e616d651a0c6162636465666768696a6b6c222000000"
     "000000000000000000000000000000000000000000000000000000000002a04686d616332076167656e745f31420a"
     "080112016d1203782f2a4a0a080112067461736b5f3152150a086b65793a6b5f31331082c8afa0251a036461795a0"
     "2083c608080a1a3dafdb10668007001"},
    {"key", "k_14", "a name", 1764495000123456,
     "{\"digest\":\"abababababababababababababababababababababababababababababababab\",\"digest_"
     "kind\":\"hmac\",\"public_part\":\"p\",\"team\":\"team_1\"}",
     "080512046b5f3134180772480a056f72675f31120661206e616d651a01702220ababababababababababababababa"
     "bababababababababababababababababab2a04686d61633a067465616d5f31600068007000"},
    {"key", "k_15", "a name", 1764495000123456,
     "{\"digest\":\"abababababababababababababababababababababababababababababababab\",\"digest_"
     "kind\":\"hmac\",\"public_part\":\"p\",\"revoked\":false,\"blocked\":false,\"expires_at\":"
     "\"1969-12-31T23:59:59.999999Z\",\"limits\":{\"parallel\":1000000}}",
     "080512046b5f3135180772460a056f72675f31120661206e616d651a01702220ababababababababababababababa"
     "bababababababababababababababababab2a04686d61635a0418c0843d600168007000"},
    {"provider", "prov_16", "a name", 1764495000123456,
     "{\"dialect\":\"openai\",\"base_url\":\"https://api.openai.com/v1\",\"credentials\":[]}",
     "0806120770726f765f313618077a320a056f72675f31120661206e616d651a066f70656e6169221968747470733a2"
     "f2f6170692e6f70656e61692e636f6d2f7631"},
    {"provider", "prov_17", "a name", 1764495000123456,
     "{\"dialect\":\"openai\",\"base_url\":\"http://127.0.0.1:9000/"
     "v1\",\"allow_cidrs\":[\"127.0.0.0/8\",\"fd00::/"
     "8\"],\"credentials\":[{\"id\":\"cred_1\",\"name\":\"main\",\"weight\":1,\"secret_set\":true,"
     "\"rpm\":600,\"tpm\":200000,\"region\":\"eu\"},{\"id\":\"cred_2\",\"name\":\"second\","
     "\"weight\":0,\"secret_set\":false},{\"id\":\"cred_missing\",\"name\":\"third\",\"weight\":7,"
     "\"secret_set\":true}]}",
     "0806120770726f765f313718077ac6010a056f72675f31120661206e616d651a066f70656e61692218687474703a2"
     "f2f3132372e302e302e313a393030302f76312a0b3132372e302e302e302f382a08666430303a3a2f3832350a0663"
     "7265645f3112046d61696e1a18736563726574206f662070726f765f31372f637265645f3120d80428c09a0c30013"
     "a026575322c0a06637265645f3212067365636f6e641a18736563726574206f662070726f765f31372f637265645f"
     "32300032170a0c637265645f6d697373696e67120574686972643007"},
    {"provider", "prov_18", "a name", 1764495000123456,
     "{\"dialect\":\"openai\",\"base_url\":\"http://127.0.0.1:9000/v1\"}",
     "0806120770726f765f313818077a310a056f72675f31120661206e616d651a066f70656e61692218687474703a2f2"
     "f3132372e302e302e313a393030302f7631"},
    {"model", "model_19", "a name", 1764495000123456,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"gpt-4o-mini\"}]"
     "}",
     "080712086d6f64656c5f313918078201390a056f72675f31120661206e616d651a0866616c6c6261636b22150a067"
     "0726f765f31120b6770742d346f2d6d696e693880e1859b90b3a206"},
    {"model", "model_20", "a name", 0,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"a\",\"weight\":"
     "3},{\"provider\":\"prov_2\",\"model\":\"b\"},{\"provider\":\"prov_1\",\"model\":\"c\","
     "\"weight\":0}],\"price\":{\"input_per_mtok\":\"0.15\",\"output_per_mtok\":\"0.6\",\"cache_"
     "read_per_mtok\":\"0.075\"},\"max_output_tokens\":16384,\"capabilities\":[\"tools\"]}",
     "080712086d6f64656c5f323018078201630a056f72675f31120661206e616d651a087765696768746564220d0a067"
     "0726f765f311201611803220b0a0670726f765f32120162220d0a0670726f765f3112016318002a0c08e0a7121080"
     "9f4918f09309308080013800c20605746f6f6c73e80601"},
    {"model", "model_21", "a name", 1764495000123456,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"x\"}],\"price\":"
     "{}}",
     "080712086d6f64656c5f323118078201310a056f72675f31120661206e616d651a0866616c6c6261636b220b0a067"
     "0726f765f311201782a003880e1859b90b3a206"},
    {"model", "model_22", "a name", 1764495000123456,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"x\"}],\"price\":"
     "{\"input_per_mtok\":\"0\",\"output_per_mtok\":\"15.000001\",\"cache_write_per_mtok\":\"3."
     "75\"}}",
     "080712086d6f64656c5f3232180782013d0a056f72675f31120661206e616d651a0866616c6c6261636b220b0a067"
     "0726f765f311201782a0c0800108287a70e20e0e1c9033880e1859b90b3a206"},
    {"mcp-server", "mcp_23", "a name", 1764495000123456,
     "{\"transport\":\"streamable-http\",\"url\":\"http://127.0.0.1:3001/mcp\"}",
     "080812066d63705f323318078a013b0a056f72675f31120661206e616d651a0f73747265616d61626c652d6874747"
     "02219687474703a2f2f3132372e302e302e313a333030312f6d6370"},
    {"mcp-server", "mcp_24", "a name", 1764495000123456,
     "{\"transport\":\"streamable-http\",\"url\":\"https://mcp.example.com/"
     "mcp\",\"allow_cidrs\":[\"10.0.0.0/"
     "8\"],\"credential\":{\"header\":\"authorization\",\"secret_set\":true},\"approve\":\"each\","
     "\"description\":\"d\"}",
     "080812066d63705f323418078a01750a056f72675f31120661206e616d651a0f73747265616d61626c652d6874747"
     "0221b68747470733a2f2f6d63702e6578616d706c652e636f6d2f6d63702a0a31302e302e302e302f38320d617574"
     "686f72697a6174696f6e3a1b736563726574206f66206d63705f32342f63726564656e7469616c"},
    {"mcp-server", "mcp_missing", "a name", 1764495000123456,
     "{\"transport\":\"streamable-http\",\"url\":\"https://mcp.example.com/"
     "mcp\",\"credential\":{\"header\":\"x-key\",\"secret_set\":false}}",
     "0808120b6d63705f6d697373696e6718078a01440a056f72675f31120661206e616d651a0f73747265616d61626c6"
     "52d68747470221b68747470733a2f2f6d63702e6578616d706c652e636f6d2f6d63703205782d6b6579"},
    {"api-service", "api_26", "a name", 1764495000123456,
     "{\"base_url\":\"http://127.0.0.1:9100\",\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/"
     "customers/*\"}],\"set_cookie\":false}",
     "080912066170695f3236180792013d0a056f72675f31120661206e616d651a15687474703a2f2f3132372e302e302"
     "e313a393130303a130a03474554120c2f637573746f6d6572732f2a4000"},
    {"api-service", "api_27", "a name", 1764495000123456,
     "{\"base_url\":\"https://crm.example.com/"
     "x\",\"allow_cidrs\":[],\"credential\":{\"header\":\"authorization\",\"secret_set\":true},"
     "\"routes\":[{\"methods\":[\"GET\",\"POST\"],\"path\":\"/a/"
     "**\",\"opaque\":true},{\"methods\":[\"DELETE\"],\"path\":\"/b\"}],\"set_cookie\":true}",
     "080912066170695f3237180792017c0a056f72675f31120661206e616d651a1968747470733a2f2f63726d2e65786"
     "16d706c652e636f6d2f782a0d617574686f72697a6174696f6e321b736563726574206f66206170695f32372f6372"
     "6564656e7469616c3a140a034745540a04504f535412052f612f2a2a18013a0c0a0644454c45544512022f62400"
     "1"},
    {"api-service", "api_28", "a name", 1764495000123456,
     "{\"base_url\":\"https://crm.example.com\",\"routes\":[{\"methods\":[\"PUT\"],\"path\":\"/"
     "\"}]}",
     "080912066170695f323818079201340a056f72675f31120661206e616d651a1768747470733a2f2f63726d2e65786"
     "16d706c652e636f6d3a080a0350555412012f4000"},
    {"grant", "grant_29", "", 1764495000123456,
     "{\"agent\":\"agent_1\",\"task\":\"task_1\",\"server\":\"mcp_1\",\"tools\":[\"echo\",\"get-"
     "sum\"]}",
     "080a12086772616e745f323918079a01300a056f72675f3112076167656e745f3122067461736b5f312a056d63705"
     "f3132046563686f32076765742d73756d4800"},
    {"grant", "grant_30", "", 1764495000123456,
     "{\"team\":\"team_1\",\"server\":\"mcp_1\",\"tools\":[\"*\"]}",
     "080a12086772616e745f333018079a011b0a056f72675f311a067465616d5f312a056d63705f3132012a4800"},
    {"grant", "grant_31", "", 1764495000123456,
     "{\"team\":\"team_1\",\"server\":\"mcp_1\",\"tools\":[]}",
     "080a12086772616e745f333118079a01180a056f72675f311a067465616d5f312a056d63705f314800"},
    {"grant", "grant_32", "", 1764495000123456, "{\"agent\":\"agent_1\",\"service\":\"api_1\"}",
     "080a12086772616e745f333218079a01190a056f72675f3112076167656e745f313a056170695f314800"},
    {"grant", "grant_33", "", 1764495000123456,
     "{\"agent\":\"agent_1\",\"service\":\"api_1\",\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/"
     "customers/*\"}]}",
     "080a12086772616e745f333318079a012e0a056f72675f3112076167656e745f313a056170695f3142130a0347455"
     "4120c2f637573746f6d6572732f2a4801"},
    {"grant", "grant_34", "", 1764495000123456, "{\"team\":\"team_1\",\"models\":[\"a\",\"b/*\"]}",
     "080a12086772616e745f333418079a01190a056f72675f311a067465616d5f3148005201615203622f2a"},
    {"grant", "grant_35", "", 1764495000123456, "{\"team\":\"team_1\",\"models\":[]}",
     "080a12086772616e745f333518079a01110a056f72675f311a067465616d5f314800"},
    {"block", "block_36", "", 1764495000123456, "{\"key\":\"k_1\",\"reason\":\"lost\"}",
     "080b1208626c6f636b5f33361807a201110a056f72675f3112036b65791a036b5f31"},
    {"block", "block_37", "", 1764495000123456, "{\"agent\":\"agent_1\"}",
     "080b1208626c6f636b5f33371807a201170a056f72675f3112056167656e741a076167656e745f31"},
    {"block", "block_38", "", 1764495000123456, "{\"team\":\"team_1\"}",
     "080b1208626c6f636b5f33381807a201150a056f72675f3112047465616d1a067465616d5f31"},
    {"block", "block_39", "", 1764495000123456, "{\"session\":\"s_0123456789abcdefghijkl\"}",
     "080b1208626c6f636b5f33391807a2012a0a056f72675f31120773657373696f6e1a18735f3031323334353637383"
     "96162636465666768696a6b6c"},
    {"key", "k_40", "key 0", 1764495000123456,
     "{\"digest\":\"9a34cc384fc9763f05fb4433e6db2b7fe3547a5f771c5425f3f86ce985cdbf24\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":false,\"public_part\":\"14da4bcf30ea\","
     "\"agent\":\"agent_8\",\"models\":[\"gpt-4o\"],\"budget\":{\"limit_usd\":\"132820.984447128\","
     "\"period\":\"month\"},\"limits\":{\"parallel\":223497},\"expires_at\":\"2038-02-21T08:08:00."
     "121765Z\"}",
     "080512046b5f343018077289010a056f72675f3112056b657920301a0c31346461346263663330656122209a34cc3"
     "84fc9763f05fb4433e6db2b7fe3547a5f771c5425f3f86ce985cdbf242a0673686132353632076167656e745f3842"
     "0a080112066770742d346f52190a086b65793a6b5f343010b082c6b999b33c1a056d6f6e74685a041889d20d60cac"
     "ec1bbfeeed10768017000"},
    {"key", "k_41", "key 1", 1764495000123456,
     "{\"digest\":\"9e8c41fa455287789044ddbc79430a6d559d08ed460dfe333a8561be06727116\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"1df62e2c1292\","
     "\"team\":\"team_5\"}",
     "080512046b5f3431180772540a056f72675f3112056b657920311a0c31646636326532633132393222209e8c41fa4"
     "55287789044ddbc79430a6d559d08ed460dfe333a8561be067271162a067368613235363a067465616d5f35600068"
     "007000"},
    {"key", "k_42", "key 2", 1764495000123456,
     "{\"digest\":\"9909b6dbd60b25ba2646da0ffcdf970ce4622ad303c8d26c6436e01e585dbca4\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":true,\"team\":\"team_6\"}",
     "080512046b5f3432180772460a056f72675f3112056b6579203222209909b6dbd60b25ba2646da0ffcdf970ce4622"
     "ad303c8d26c6436e01e585dbca42a067368613235363a067465616d5f36600068007001"},
    {"key", "k_43", "key 3", 1764495000123456,
     "{\"digest\":\"81da8db3801388547b2454dc3937da92f3a6a0c49c37aa2c57ced79dabbb2a03\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":true,\"agent\":\"agent_3\",\"models\":[\"a\"]"
     ",\"tasks\":[\"task_3\"]}",
     "080512046b5f34331807725a0a056f72675f3112056b65792033222081da8db3801388547b2454dc3937da92f3a6a"
     "0c49c37aa2c57ced79dabbb2a032a0673686132353632076167656e745f33420508011201614a0a08011206746173"
     "6b5f33600068007001"},
    {"key", "k_44", "key 4", 1764495000123456,
     "{\"digest\":\"b8fa230db875b27c2caf243cafd01d780ebc10c81775acc21f56b9877fc777fa\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"9284b0072585\",\"team\":"
     "\"team_3\",\"models\":[\"*\",\"b/"
     "*\",\"a\",\"gpt-4o\"],\"tasks\":[\"task_1\"],\"budget\":{\"limit_usd\":\"826955.167815894\","
     "\"period\":\"total\"},\"limits\":{\"tpm\":2271653718,\"parallel\":192731},\"expires_at\":"
     "\"2035-12-14T14:41:24.137089Z\"}",
     "080512046b5f3434180772a4010a056f72675f3112056b657920341a0c3932383462303037323538352220b8fa230"
     "db875b27c2caf243cafd01d780ebc10c81775acc21f56b9877fc777fa2a04686d61633a067465616d5f3342150801"
     "12012a1203622f2a12016112066770742d346f4a0a080112067461736b5f31521a0a086b65793a6b5f343410ace3a"
     "e909087f8021a05746f74616c5a0a10d6de9abb0818dbe10b608292a79986b9b20768017000"},
    {"key", "k_45", "key 5", 1764495000123456,
     "{\"digest\":\"a862814a3d22763b3a32e14881268f14f1a8a419d22c846c33652fcd89f078d3\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":true,\"public_part\":\"ccdd6bbe115d\",\"team\":"
     "\"team_3\",\"tasks\":[]}",
     "080512046b5f3435180772560a056f72675f3112056b657920351a0c6363646436626265313135642220a862814a3"
     "d22763b3a32e14881268f14f1a8a419d22c846c33652fcd89f078d32a04686d61633a067465616d5f334a02080160"
     "0068007001"},
    {"key", "k_46", "key 6", 1764495000123456,
     "{\"digest\":\"a7d3b55d98d6252d34e50006ce2331c7ef4589fb9cb8ba4dc4f7085496ff2e54\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"team\":\"team_5\",\"models\":[\"*\"],"
     "\"tasks\":[\"task_2\",\"task_1\",\"task_3\"],\"limits\":{\"parallel\":152883}}",
     "080512046b5f34361807726d0a056f72675f3112056b657920362220a7d3b55d98d6252d34e50006ce2331c7ef458"
     "9fb9cb8ba4dc4f7085496ff2e542a04686d61633a067465616d5f354205080112012a4a1a080112067461736b5f32"
     "12067461736b5f3112067461736b5f335a0418b3aa09600068007000"},
    {"key", "k_47", "key 7", 1764495000123456,
     "{\"digest\":\"89a0ce85a0937cfbbbcc85d40ad917864b2decac9eff4bc1851f2465bfa15c89\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"731e9d5da538\","
     "\"team\":\"team_8\",\"limits\":{\"rpm\":93969161}}",
     "080512046b5f34371807725b0a056f72675f3112056b657920371a0c373331653964356461353338222089a0ce85a"
     "0937cfbbbcc85d40ad917864b2decac9eff4bc1851f2465bfa15c892a067368613235363a067465616d5f385a0508"
     "89b6e72c600068007000"},
    {"key", "k_48", "key 8", 1764495000123456,
     "{\"digest\":\"b0057f90b8ddff0635883a0297aa3ea6bc9e9b2aa890eb83bcc89d2d962fea40\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":true,\"public_part\":\"2cca6c012f89\",\"agent\":"
     "\"agent_7\",\"budget\":{\"limit_usd\":\"595907.921774120\",\"period\":\"week\"},\"expires_"
     "at\":\"2022-06-10T21:18:49.218157Z\"}",
     "080512046b5f3438180772750a056f72675f3112056b657920381a0c3263636136633031326638392220b0057f90b"
     "8ddff0635883a0297aa3ea6bc9e9b2aa890eb83bcc89d2d962fea402a04686d616332076167656e745f3752190a08"
     "6b65793a6b5f343810d098f8ffb3fe8e021a047765656b60dad182c0cfc7f00568017001"},
    {"key", "k_49", "key 9", 1764495000123456,
     "{\"digest\":\"cdf7bed3deafa7e4e9608108478d5c795a5f888870283b45dc2d9283d36c587a\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"74162d22c2e0\","
     "\"agent\":\"agent_9\",\"models\":[],\"tasks\":[\"task_3\",\"task_2\"],\"limits\":{\"rpm\":"
     "21352125,\"parallel\":596165}}",
     "080512046b5f3439180772760a056f72675f3112056b657920391a0c3734313632643232633265302220cdf7bed3d"
     "eafa7e4e9608108478d5c795a5f888870283b45dc2d9283d36c587a2a04686d616332076167656e745f3942020801"
     "4a12080112067461736b5f3312067461736b5f325a0908bd9d970a18c5b124600068017000"},
    {"key", "k_50", "key 10", 1764495000123456,
     "{\"digest\":\"d819a840b4399d38c0c34a2da842b6008bf974a00787c947dcbd8a5309ebff91\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":true,\"agent\":\"agent_6\",\"budget\":{\"limit_"
     "usd\":\"54930.111427133\",\"period\":\"year\"},\"limits\":{\"rpm\":33979038,\"tpm\":"
     "1502023323,\"parallel\":475617}}",
     "080512046b5f3530180772710a056f72675f3112066b65792031302220d819a840b4399d38c0c34a2da842b6008bf"
     "974a00787c947dcbd8a5309ebff912a04686d616332076167656e745f3652180a086b65793a6b5f353010fac8bb9c"
     "adfd181a04796561725a0f089ef59910109b9d9ccc0518e1831d600068007001"},
    {"key", "k_51", "key 11", 1764495000123456,
     "{\"digest\":\"6a10060c3c93d74c8752098a8aeeca8c1b1658b4dcb8b3ca06b8bf0c63384538\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":true,\"public_part\":\"da6f1cc24962\",\"team\":"
     "\"team_9\",\"budget\":{\"limit_usd\":\"995113.234933205\",\"period\":\"month\"}}",
     "080512046b5f35311807726f0a056f72675f3112066b65792031311a0c64613666316363323439363222206a10060"
     "c3c93d74c8752098a8aeeca8c1b1658b4dcb8b3ca06b8bf0c633845382a04686d61633a067465616d5f39521a0a08"
     "6b65793a6b5f353110aa9789ae9bc3c4031a056d6f6e7468600068007001"},
    {"key", "k_52", "key 12", 1764495000123456,
     "{\"digest\":\"df539f4e768228ef0e33baa6c52e59fb6af13ab8911c38417413108f35ec851c\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"team\":\"team_8\",\"models\":[],"
     "\"limits\":{\"tpm\":443977033,\"parallel\":866872}}",
     "080512046b5f3532180772550a056f72675f3112066b65792031322220df539f4e768228ef0e33baa6c52e59fb6af"
     "13ab8911c38417413108f35ec851c2a04686d61633a067465616d5f38420208015a0a10c99adad30118b8f4346000"
     "68017000"},
    {"key", "k_53", "key 13", 1764495000123456,
     "{\"digest\":\"0b56acd70db64e88eeeeb9eaa20fa7e81e92b7dfb8a77bd7ccc33b00b0db9dbd\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"d4109967a3c8\",\"team\":"
     "\"team_4\",\"tasks\":[\"task_1\",\"task_2\",\"task_3\"]}",
     "080512046b5f35331807726f0a056f72675f3112066b65792031331a0c64343130393936376133633822200b56acd"
     "70db64e88eeeeb9eaa20fa7e81e92b7dfb8a77bd7ccc33b00b0db9dbd2a04686d61633a067465616d5f344a1a0801"
     "12067461736b5f3112067461736b5f3212067461736b5f33600068017000"},
    {"key", "k_54", "key 14", 1764495000123456,
     "{\"digest\":\"543eeb06c5e205865b49493825673030075ae4a567c78078403857259dd286e9\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"fc118d92f4ce\","
     "\"team\":\"team_2\",\"models\":[],\"tasks\":[\"task_3\",\"task_2\"],\"budget\":{\"limit_"
     "usd\":\"198781.493059371\",\"period\":\"day\"},\"expires_at\":\"2029-07-12T02:54:25."
     "796813Z\"}",
     "080512046b5f35341807728d010a056f72675f3112066b65792031341a0c6663313138643932663463652220543ee"
     "b06c5e205865b49493825673030075ae4a567c78078403857259dd286e92a067368613235363a067465616d5f3242"
     "0208014a12080112067461736b5f3312067461736b5f3252170a086b65793a6b5f353410d6fcc0c4cdb25a1a03646"
     "179609a8bd5989ba0d60668007000"},
    {"key", "k_55", "key 15", 1764495000123456,
     "{\"digest\":\"9a1d106bce7f8ebcf67517e837d5f1d3b04e44be8636d201ed74858b82c61cd8\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"a0547a55a277\","
     "\"team\":\"team_5\",\"budget\":{\"limit_usd\":\"384357.093711704\",\"period\":\"year\"},"
     "\"limits\":{\"rpm\":1170150,\"tpm\":1852806653}}",
     "080512046b5f35351807727a0a056f72675f3112066b65792031351a0c61303534376135356132373722209a1d106"
     "bce7f8ebcf67517e837d5f1d3b04e44be8636d201ed74858b82c61cd82a04686d61633a067465616d5f3552190a08"
     "6b65793a6b5f353510b0fdccc0c3e4ae011a04796561725a0a08e6b54710fdabbef306600068007000"},
    {"key", "k_56", "key 16", 1764495000123456,
     "{\"digest\":\"962a8eea44b88d1b53e3ac9b2c9d06e4acd1f8b1aefa218346535a13daa8eab0\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":true,\"agent\":\"agent_5\",\"budget\":{"
     "\"limit_usd\":\"20629.200507080\",\"period\":\"total\"},\"limits\":{\"rpm\":57787903,\"tpm\":"
     "3773054850,\"parallel\":543031},\"expires_at\":\"2044-02-26T09:34:02.927960Z\"}",
     "080512046b5f35361807727b0a056f72675f3112066b65792031362220962a8eea44b88d1b53e3ac9b2c9d06e4acd"
     "1f8b1aefa218346535a13daa8eab02a0673686132353632076167656e745f3552190a086b65793a6b5f35361090c3"
     "d8c2e3b0091a05746f74616c5a0f08ff8bc71b1082ff90870e18b7922160b0fdaeafa493a80868007001"},
    {"key", "k_57", "key 17", 1764495000123456,
     "{\"digest\":\"b2e5fdff2990f37ba6bb382dd1ef075c0b1d55f20eea51a362920f5ed8a7f367\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"b066c27eb1c7\","
     "\"agent\":\"agent_8\",\"tasks\":[],\"budget\":{\"limit_usd\":\"76053.119058219\",\"period\":"
     "\"year\"},\"expires_at\":\"2039-03-11T08:08:29.980301Z\"}",
     "080512046b5f35371807727b0a056f72675f3112066b65792031371a0c6230363663323765623163372220b2e5fdf"
     "f2990f37ba6bb382dd1ef075c0b1d55f20eea51a362920f5ed8a7f3672a0673686132353632076167656e745f384a"
     "02080152180a086b65793a6b5f353710d684aaf2efca221a0479656172609abac3ab93f5e00768007000"},
    {"key", "k_58", "key 18", 1764495000123456,
     "{\"digest\":\"1bbbec6a30a9b8926a4fc3a2084c9c4724dd1501ae96de37f292f144a10ab424\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"8b07335d5ebb\","
     "\"agent\":\"agent_6\",\"models\":[\"a\"],\"budget\":{\"limit_usd\":\"955497.744932723\","
     "\"period\":\"hour\"},\"limits\":{\"parallel\":95509}}",
     "080512046b5f35381807727c0a056f72675f3112066b65792031381a0c38623037333335643565626222201bbbec6"
     "a30a9b8926a4fc3a2084c9c4724dd1501ae96de37f292f144a10ab4242a04686d616332076167656e745f36420508"
     "0112016152190a086b65793a6b5f353810e6fddcfaa4c1b2031a04686f75725a041895ea05600068007000"},
    {"key", "k_59", "key 19", 1764495000123456,
     "{\"digest\":\"a9915b79c1693523d18254124be9ba22baff6b5dbd5da34f0d992c6954ff3a7b\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":true,\"public_part\":\"4479b069ea50\","
     "\"team\":\"team_3\",\"models\":[\"*\",\"b/*\"]}",
     "080512046b5f3539180772610a056f72675f3112066b65792031391a0c3434373962303639656135302220a9915b7"
     "9c1693523d18254124be9ba22baff6b5dbd5da34f0d992c6954ff3a7b2a067368613235363a067465616d5f33420a"
     "080112012a1203622f2a600068017001"},
    {"key", "k_60", "key 20", 1764495000123456,
     "{\"digest\":\"555ac2a66b558964d0a5d4e44b572628b2b30e1a28a9cf17bd0277059573415e\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"d2ab232da672\","
     "\"agent\":\"agent_4\",\"tasks\":[\"task_1\",\"task_2\",\"task_3\"],\"budget\":{\"limit_usd\":"
     "\"354056.235506213\",\"period\":\"week\"},\"limits\":{\"parallel\":36565}}",
     "080512046b5f363018077291010a056f72675f3112066b65792032301a0c6432616232333264613637322220555ac"
     "2a66b558964d0a5d4e44b572628b2b30e1a28a9cf17bd0277059573415e2a04686d616332076167656e745f344a1a"
     "080112067461736b5f3112067461736b5f3212067461736b5f3352190a086b65793a6b5f363010cae8aec2e480a10"
     "11a047765656b5a0418d59d02600068007000"},
    {"key", "k_61", "key 21", 1764495000123456,
     "{\"digest\":\"e4714126c9b5f24117145afb384d001a3cc28c6e8f88309d7e212a43719bbb84\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":true,\"public_part\":\"f4842e9aba35\","
     "\"team\":\"team_9\",\"models\":[],\"tasks\":[\"task_3\"],\"expires_at\":\"2041-03-07T04:42:"
     "17.298581Z\"}",
     "080512046b5f36311807726c0a056f72675f3112066b65792032311a0c6634383432653961626133352220e471412"
     "6c9b5f24117145afb384d001a3cc28c6e8f88309d7e212a43719bbb842a067368613235363a067465616d5f394202"
     "08014a0a080112067461736b5f3360aaaa8ffecebcfd0768017001"},
    {"key", "k_62", "key 22", 1764495000123456,
     "{\"digest\":\"6a4b84f97bc812e61facfd99a1ed69ed1a49fc10174821b6e4323da9b91f2b0c\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"team\":\"team_7\",\"models\":[\"a\","
     "\"gpt-4o\",\"*\",\"b/"
     "*\"],\"tasks\":[\"task_3\",\"task_1\"],\"budget\":{\"limit_usd\":\"694210.476220043\","
     "\"period\":\"day\"},\"limits\":{\"rpm\":91752128,\"tpm\":3249606298,\"parallel\":861949},"
     "\"expires_at\":\"2047-08-01T09:12:27.006741Z\"}",
     "080512046b5f3632180772a4010a056f72675f3112066b657920323222206a4b84f97bc812e61facfd99a1ed69ed1"
     "a49fc10174821b6e4323da9b91f2b0c2a067368613235363a067465616d5f374215080112016112066770742d346f"
     "12012a1203622f2a4a12080112067461736b5f3312067461736b5f3152180a086b65793a6b5f36321096faac8dafd"
     "8bb021a036461795a0f08c08de02b109a9dc48d0c18fdcd3460aabcc9f0d8abd90868007000"},
    {"key", "k_63", "key 23", 1764495000123456,
     "{\"digest\":\"7d718fdabea36db4e2fc5cb3d066d42336eb12eab7990885217f2a0f59edcdf6\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":false,\"public_part\":\"c3380b7f6c15\","
     "\"team\":\"team_8\",\"models\":[\"*\",\"a\",\"b/"
     "*\",\"gpt-4o\"],\"limits\":{\"rpm\":29811777,\"parallel\":215464}}",
     "080512046b5f3633180772770a056f72675f3112066b65792032331a0c63333338306237663663313522207d718fd"
     "abea36db4e2fc5cb3d066d42336eb12eab7990885217f2a0f59edcdf62a067368613235363a067465616d5f384215"
     "080112012a1201611203622f2a12066770742d346f5a0908c1c89b0e18a8930d600068017000"},
    {"key", "k_64", "key 24", 1764495000123456,
     "{\"digest\":\"7130cea1b290d0daf6570384197b1aae4287b28be766348daf0192f9ca48e73a\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"5877535957fa\",\"team\":"
     "\"team_7\",\"models\":[\"b/*\",\"a\"],\"limits\":{\"tpm\":3186198267}}",
     "080512046b5f3634180772670a056f72675f3112066b65792032341a0c35383737353335393537666122207130cea"
     "1b290d0daf6570384197b1aae4287b28be766348daf0192f9ca48e73a2a04686d61633a067465616d5f37420a0801"
     "1203622f2a1201615a0610fb8da6ef0b600068017000"},
    {"key", "k_65", "key 25", 1764495000123456,
     "{\"digest\":\"c890fd5acc7bb652d985bbae9d06dea67430b0f7711317f36883f82fc1e4c3e3\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":true,\"team\":\"team_5\",\"tasks\":[\"task_"
     "1\"],\"budget\":{\"limit_usd\":\"414297.611302451\",\"period\":\"day\"},\"limits\":{\"tpm\":"
     "1177409222,\"parallel\":635313}}",
     "080512046b5f3635180772790a056f72675f3112066b65792032352220c890fd5acc7bb652d985bbae9d06dea6743"
     "0b0f7711317f36883f82fc1e4c3e32a067368613235363a067465616d5f354a0a080112067461736b5f3152180a08"
     "6b65793a6b5f363510e6d89fdfa5b3bc011a036461795a0a10c6adb7b10418b1e326600068017001"},
    {"key", "k_66", "key 26", 1764495000123456,
     "{\"digest\":\"b05a4856375a94a7ae6d197dc182bc1f42f79950be6c56599692ac950e419400\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"7b76d056181e\","
     "\"agent\":\"agent_7\",\"tasks\":[\"task_2\"]}",
     "080512046b5f3636180772600a056f72675f3112066b65792032361a0c3762373664303536313831652220b05a485"
     "6375a94a7ae6d197dc182bc1f42f79950be6c56599692ac950e4194002a04686d616332076167656e745f374a0a08"
     "0112067461736b5f32600068007000"},
    {"key", "k_67", "key 27", 1764495000123456,
     "{\"digest\":\"be3b1a5c5e9dfc93b7655b34f910df2531c93e8e931a629205e8256adafe5e5b\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"256f23f4f32b\","
     "\"agent\":\"agent_8\",\"budget\":{\"limit_usd\":\"915624.818393625\",\"period\":\"week\"}}",
     "080512046b5f3637180772710a056f72675f3112066b65792032371a0c3235366632336634663332622220be3b1a5"
     "c5e9dfc93b7655b34f910df2531c93e8e931a629205e8256adafe5e5b2a0673686132353632076167656e745f3852"
     "190a086b65793a6b5f363710b288e2c0b0b0a0031a047765656b600068007000"},
    {"key", "k_68", "key 28", 1764495000123456,
     "{\"digest\":\"ff37164d569e017cfc9a63176193b61795805090f6d9c2d3686c89773dc921dc\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"4a9fb48d8ae7\","
     "\"agent\":\"agent_3\",\"tasks\":[\"task_1\",\"task_2\"],\"limits\":{\"tpm\":3921378111}}",
     "080512046b5f3638180772720a056f72675f3112066b65792032381a0c3461396662343864386165372220ff37164"
     "d569e017cfc9a63176193b61795805090f6d9c2d3686c89773dc921dc2a0673686132353632076167656e745f334a"
     "12080112067461736b5f3112067461736b5f325a0610bff6edcd0e600068007000"},
    {"key", "k_69", "key 29", 1764495000123456,
     "{\"digest\":\"7d3ff4f1b77268efdb3cee638f3284f5bdcc7c685c780d50f22821fb9bd4f10f\",\"digest_"
     "kind\":\"sha256\",\"revoked\":true,\"blocked\":false,\"agent\":\"agent_7\",\"models\":[],"
     "\"limits\":{\"rpm\":15376295},\"expires_at\":\"2038-06-10T15:56:28.056182Z\"}",
     "080512046b5f36391807725a0a056f72675f3112066b657920323922207d3ff4f1b77268efdb3cee638f3284f5bdc"
     "c7c685c780d50f22821fb9bd4f10f2a0673686132353632076167656e745f37420208015a0508a7bfaa0760ecf9c8"
     "bce694d60768017000"},
    {"key", "k_70", "key 30", 1764495000123456,
     "{\"digest\":\"142a10ce67fb1611daa324483c99c371e2bd32cbb9e886360d4ea8d7dfc54c20\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"team\":\"team_4\",\"tasks\":[\"task_"
     "3\",\"task_1\"]}",
     "080512046b5f37301807725b0a056f72675f3112066b65792033302220142a10ce67fb1611daa324483c99c371e2b"
     "d32cbb9e886360d4ea8d7dfc54c202a067368613235363a067465616d5f344a12080112067461736b5f3312067461"
     "736b5f31600068007000"},
    {"key", "k_71", "key 31", 1764495000123456,
     "{\"digest\":\"5baac53c1ce231ac18b1e3a4fdb5ebf674c4a1ef3ea31eebf3b0b2d3e25d88f6\",\"digest_"
     "kind\":\"sha256\",\"revoked\":false,\"blocked\":false,\"public_part\":\"e4cd9eb6f32b\","
     "\"team\":\"team_2\",\"budget\":{\"limit_usd\":\"348484.277522426\",\"period\":\"month\"},"
     "\"limits\":{\"tpm\":3440981862}}",
     "080512046b5f3731180772790a056f72675f3112066b65792033311a0c65346364396562366633326222205baac53"
     "c1ce231ac18b1e3a4fdb5ebf674c4a1ef3ea31eebf3b0b2d3e25d88f62a067368613235363a067465616d5f32521a"
     "0a086b65793a6b5f373110f4bf9299babc9e011a056d6f6e74685a0610e6eee4e80c600068007000"},
    {"key", "k_72", "key 32", 1764495000123456,
     "{\"digest\":\"04a00ab3090d031601b0fc2f3891cd572eff03672c785319b709fba644a1fe80\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"a58dbc3653d9\",\"team\":"
     "\"team_4\",\"budget\":{\"limit_usd\":\"939241.553533793\",\"period\":\"month\"}}",
     "080512046b5f37321807726f0a056f72675f3112066b65792033321a0c613538646263333635336439222004a00ab"
     "3090d031601b0fc2f3891cd572eff03672c785319b709fba644a1fe802a04686d61633a067465616d5f34521a0a08"
     "6b65793a6b5f373210c2edc0f2868fab031a056d6f6e7468600068017000"},
    {"key", "k_73", "key 33", 1764495000123456,
     "{\"digest\":\"45b2f7b7b9e10b731d917af788d0963c696c342fe79af4bca9a83e891d0b79d1\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"team\":\"team_2\",\"models\":[\"gpt-"
     "4o\",\"a\"],\"budget\":{\"limit_usd\":\"137944.183780832\",\"period\":\"month\"},\"expires_"
     "at\":\"2042-03-19T22:48:27.483311Z\"}",
     "080512046b5f3733180772760a056f72675f3112066b6579203333222045b2f7b7b9e10b731d917af788d0963c696"
     "c342fe79af4bca9a83e891d0b79d12a04686d61633a067465616d5f32420d080112066770742d346f12016152190a"
     "086b65793a6b5f373310c0d795a1b4dd3e1a056d6f6e746860de9283e8b2a88c0868007000"},
    {"key", "k_74", "key 34", 1764495000123456,
     "{\"digest\":\"42b2104231247a16370fe50901446475ed01a97b3d161e717c80f85c8e7a1743\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":true,\"public_part\":\"162eadd17f38\",\"team\":"
     "\"team_9\",\"models\":[\"a\",\"b/"
     "*\",\"gpt-4o\"],\"tasks\":[\"task_1\",\"task_2\"],\"limits\":{\"rpm\":74729748}}",
     "080512046b5f373418077282010a056f72675f3112066b65792033341a0c313632656164643137663338222042b21"
     "04231247a16370fe50901446475ed01a97b3d161e717c80f85c8e7a17432a04686d61633a067465616d5f39421208"
     "011201611203622f2a12066770742d346f4a12080112067461736b5f3112067461736b5f325a05089492d12360006"
     "8017001"},
    {"key", "k_75", "key 35", 1764495000123456,
     "{\"digest\":\"6036685fe637b30a78cd5916b8e24a98db899d5d92068f1509bdf92ffa53bee6\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"agent\":\"agent_4\",\"models\":[],"
     "\"budget\":{\"limit_usd\":\"519652.639533619\",\"period\":\"month\"},\"limits\":{},\"expires_"
     "at\":\"2023-08-09T00:36:18.283806Z\"}",
     "080512046b5f37351807726f0a056f72675f3112066b657920333522206036685fe637b30a78cd5916b8e24a98db8"
     "99d5d92068f1509bdf92ffa53bee62a04686d616332076167656e745f3442020801521a0a086b65793a6b5f373510"
     "e6a8e3efe1a7ec011a056d6f6e74685a0060bce4cdafd59c810668017000"},
    {"key", "k_76", "key 36", 1764495000123456,
     "{\"digest\":\"542baad98f780c28eb59796851025abaf20cebf42ac93b69d834c44d425b320e\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"d133751a3dd9\","
     "\"agent\":\"agent_5\",\"tasks\":[\"task_3\",\"task_1\",\"task_2\"],\"budget\":{\"limit_usd\":"
     "\"815341.675317517\",\"period\":\"hour\"}}",
     "080512046b5f37361807728b010a056f72675f3112066b65792033361a0c6431333337353161336464392220542ba"
     "ad98f780c28eb59796851025abaf20cebf42ac93b69d834c44d425b320e2a04686d616332076167656e745f354a1a"
     "080112067461736b5f3312067461736b5f3112067461736b5f3252190a086b65793a6b5f3736109aa4ecee90e3f20"
     "21a04686f7572600068007000"},
    {"key", "k_77", "key 37", 1764495000123456,
     "{\"digest\":\"aecfbb0354fb46d1b2802d9f58cc8e79ebf4d7686359bcf79b479305b6200361\",\"digest_"
     "kind\":\"hmac\",\"revoked\":true,\"blocked\":false,\"public_part\":\"ef236fd05a34\",\"team\":"
     "\"team_3\",\"models\":[],\"budget\":{\"limit_usd\":\"539443.572581483\",\"period\":\"hour\"},"
     "\"expires_at\":\"2027-01-08T23:32:05.165905Z\"}",
     "080512046b5f3737180772790a056f72675f3112066b65792033371a0c6566323336666430356133342220aecfbb0"
     "354fb46d1b2802d9f58cc8e79ebf4d7686359bcf79b479305b62003612a04686d61633a067465616d5f3342020801"
     "52190a086b65793a6b5f373710d691a9e8dfa7f5011a04686f757260a2bdd9d1eba5b20668017000"},
    {"key", "k_78", "key 38", 1764495000123456,
     "{\"digest\":\"98bf49b385f5d9b8b68f386a205759c8614d0f5fff52aa2551621fe5ecf5fb39\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"afd8ee8067b8\","
     "\"team\":\"team_9\",\"limits\":{\"rpm\":44111467,\"parallel\":677067},\"expires_at\":\"2057-"
     "05-23T15:26:58.273293Z\"}",
     "080512046b5f3738180772650a056f72675f3112066b65792033381a0c616664386565383036376238222098bf49b"
     "385f5d9b8b68f386a205759c8614d0f5fff52aa2551621fe5ecf5fb392a04686d61633a067465616d5f395a0908eb"
     "ac841518cba929609a80b1bdb590e60968007000"},
    {"key", "k_79", "key 39", 1764495000123456,
     "{\"digest\":\"1337bf55d7f4b4052893aba17d5eecd087a9915fd1e415643d12343d8deb3d87\",\"digest_"
     "kind\":\"hmac\",\"revoked\":false,\"blocked\":false,\"public_part\":\"a13a86baf6c4\","
     "\"agent\":\"agent_3\",\"models\":[\"*\",\"a\"],\"tasks\":[\"task_2\"]}",
     "080512046b5f37391807726a0a056f72675f3112066b65792033391a0c61313361383662616636633422201337bf5"
     "5d7f4b4052893aba17d5eecd087a9915fd1e415643d12343d8deb3d872a04686d616332076167656e745f33420808"
     "0112012a1201614a0a080112067461736b5f32600068007000"},
    {"model", "model_80", "model/0", 811653631854506,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"m0\"}],"
     "\"price\":{\"cache_read_per_mtok\":\"34.363758\",\"cache_write_per_mtok\":\"53.587369\","
     "\"output_per_mtok\":\"85.777130\"}}",
     "080712086d6f64656c5f383018078201420a056f72675f3112076d6f64656c2f301a087765696768746564220c0a0"
     "670726f765f3112026d302a0f10d4ebe65118dce5e22020d2b68d3338d49ec2e6ba8cf102"},
    {"model", "model_81", "model/1", 1521346259289380,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\",\"weight\":"
     "806776},{\"provider\":\"prov_1\",\"model\":\"m1\"},{\"provider\":\"prov_3\",\"model\":\"m2\","
     "\"weight\":691139},{\"provider\":\"prov_3\",\"model\":\"m3\"},{\"provider\":\"prov_4\","
     "\"model\":\"m4\",\"weight\":4367}],\"max_output_tokens\":50655953}",
     "080712086d6f64656c5f383118078201790a056f72675f3112076d6f64656c2f311a08776569676874656422100a0"
     "670726f765f3412026d3018f89e31220c0a0670726f765f3112026d3122100a0670726f765f3312026d3218c3972a"
     "220c0a0670726f765f3312026d33220f0a0670726f765f3412026d34188f2230d1e5931838c894ecf580eab305"},
    {"model", "model_82", "model/2", 463291856953916,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"m0\"}],"
     "\"price\":{\"output_per_mtok\":\"20.624348\",\"cache_read_per_mtok\":\"91.318826\"},\"max_"
     "output_tokens\":44058305}",
     "080712086d6f64656c5f383218078201420a056f72675f3112076d6f64656c2f321a0866616c6c6261636b220c0a0"
     "670726f765f3112026d302a0a10b8cfd51318d4a88b5730c18d811538f888fda891d7d201"},
    {"model", "model_83", "model/3", 1908902964292202,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"m0\",\"weight\":"
     "610053},{\"provider\":\"prov_1\",\"model\":\"m1\"},{\"provider\":\"prov_4\",\"model\":\"m2\","
     "\"weight\":306655},{\"provider\":\"prov_2\",\"model\":\"m3\"},{\"provider\":\"prov_4\","
     "\"model\":\"m4\"}],\"price\":{},\"max_output_tokens\":77558109}",
     "080712086d6f64656c5f383318078201780a056f72675f3112076d6f64656c2f331a0866616c6c6261636b22100a0"
     "670726f765f3112026d3018859e25220c0a0670726f765f3112026d3122100a0670726f765f3412026d3218dfdb12"
     "220c0a0670726f765f3212026d33220c0a0670726f765f3412026d342a0030dde2fd2438d4a9c7b1e388e406"},
    {"model", "model_84", "model/4", 1969994518436135,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"m0\",\"weight\":"
     "552355}],\"price\":{\"input_per_mtok\":\"63.000765\"},\"max_output_tokens\":97119030}",
     "080712086d6f64656c5f383418078201410a056f72675f3112076d6f64656c2f341a0866616c6c6261636b22100a0"
     "670726f765f3112026d3018a3db212a0508fac28a3c30b6d6a72e38cee4d8f7e2ecff06"},
    {"model", "model_85", "model/5", 1057730617140751,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_3\",\"model\":\"m0\",\"weight\":"
     "438179},{\"provider\":\"prov_1\",\"model\":\"m1\",\"weight\":354633},{\"provider\":\"prov_"
     "2\",\"model\":\"m2\",\"weight\":882462},{\"provider\":\"prov_2\",\"model\":\"m3\",\"weight\":"
     "456821}]}",
     "080712086d6f64656c5f3835180782016b0a056f72675f3112076d6f64656c2f351a0866616c6c6261636b22100a0"
     "670726f765f3312026d3018a3df1a22100a0670726f765f3112026d3118c9d21522100a0670726f765f3212026d32"
     "189eee3522100a0670726f765f3212026d3318f5f01b389e989f9b8380e103"},
    {"model", "model_86", "model/6", 1665692406983796,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_1\",\"model\":\"m1\"},{\"provider\":\"prov_1\",\"model\":\"m2\"},{"
     "\"provider\":\"prov_2\",\"model\":\"m3\"},{\"provider\":\"prov_4\",\"model\":\"m4\","
     "\"weight\":11098}],\"price\":{\"cache_write_per_mtok\":\"82.738235\",\"cache_read_per_mtok\":"
     "\"4.320689\",\"output_per_mtok\":\"24.398645\"},\"max_output_tokens\":39620172}",
     "080712086d6f64656c5f38361807820182010a056f72675f3112076d6f64656c2f361a0866616c6c6261636b220c0"
     "a0670726f765f3412026d30220c0a0670726f765f3112026d31220c0a0670726f765f3112026d32220c0a0670726f"
     "765f3212026d33220f0a0670726f765f3412026d3418da562a0f10eaaca21718e2b68f0420f6f0f34e30cc9cf2123"
     "8e8b1c9c387bcf505"},
    {"model", "model_87", "model/7", 1004084402885313,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_3\",\"model\":\"m0\"}],\"max_"
     "output_tokens\":23268882}",
     "080712086d6f64656c5f383718078201360a056f72675f3112076d6f64656c2f371a087765696768746564220c0a0"
     "670726f765f3312026d3030929c8c0b3882cbc4e2b3cdc803"},
    {"model", "model_88", "model/8", 1135196052100574,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_4\",\"model\":\"m1\",\"weight\":634274}]}",
     "080712086d6f64656c5f383818078201430a056f72675f3112076d6f64656c2f381a087765696768746564220c0a0"
     "670726f765f3412026d3022100a0670726f765f3412026d3118a2db2638bcd7fcd68d9d8404"},
    {"model", "model_89", "model/9", 191681118433845,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_3\",\"model\":\"m1\"},{\"provider\":\"prov_1\",\"model\":\"m2\"}],"
     "\"price\":{\"output_per_mtok\":\"38.535599\",\"input_per_mtok\":\"68.727755\"},\"max_output_"
     "tokens\":86953443}",
     "080712086d6f64656c5f3839180782015d0a056f72675f3112076d6f64656c2f391a087765696768746564220c0a0"
     "670726f765f3412026d30220c0a0670726f765f3312026d31220c0a0670726f765f3112026d322a0a0896cfc54110"
     "de86e02430e39bbb2938eac8cbcfa79557"},
    {"model", "model_90", "model/10", 112901439995580,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_1\",\"model\":\"m1\",\"weight\":432170},{\"provider\":\"prov_3\","
     "\"model\":\"m2\",\"weight\":462947},{\"provider\":\"prov_4\",\"model\":\"m3\",\"weight\":"
     "680377},{\"provider\":\"prov_3\",\"model\":\"m4\",\"weight\":964670}],\"price\":{\"output_"
     "per_mtok\":\"76.497095\",\"input_per_mtok\":\"88.621120\",\"cache_read_per_mtok\":\"39."
     "532234\",\"cache_write_per_mtok\":\"55.036087\"}}",
     "080712086d6f64656c5f3930180782018f010a056f72675f3112086d6f64656c2f31301a0866616c6c6261636b220"
     "c0a0670726f765f3412026d3022100a0670726f765f3112026d3118aab01a22100a0670726f765f3312026d3218e3"
     "a01c22100a0670726f765f3412026d3318b9c32922100a0670726f765f3312026d3418bef03a2a14088081c254108"
     "e83fa481894dbd92520eea2be3438f8facda3ddab33"},
    {"model", "model_91", "model/11", 1636146477081373,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_2\",\"model\":\"m0\",\"weight\":"
     "990448},{\"provider\":\"prov_1\",\"model\":\"m1\"}],\"price\":{\"input_per_mtok\":\"19."
     "246974\",\"cache_read_per_mtok\":\"39.266887\",\"output_per_mtok\":\"61.883359\",\"cache_"
     "write_per_mtok\":\"43.752289\"}}",
     "080712086d6f64656c5f3931180782015a0a056f72675f3112086d6f64656c2f31311a0866616c6c6261636b22100"
     "a0670726f765f3212026d3018f0b93c220c0a0670726f765f3112026d312a1408fcbdad1210be8f823b188ea9b925"
     "20c2eddc2938ba8c8999a184e805"},
    {"model", "model_92", "model/12", 1103931039628671,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_3\",\"model\":\"m1\",\"weight\":836146}],\"max_output_tokens\":68805180}",
     "080712086d6f64656c5f393218078201490a056f72675f3112086d6f64656c2f31321a087765696768746564220c0"
     "a0670726f765f3112026d3022100a0670726f765f3312026d3118b2843330bcc4e72038fef5c9979f81f603"},
    {"model", "model_93", "model/13", 1048591591619609,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_2\",\"model\":\"m1\",\"weight\":989231}],\"price\":{\"output_per_mtok\":"
     "\"56.481348\",\"cache_write_per_mtok\":\"15.029001\",\"input_per_mtok\":\"82.235572\","
     "\"cache_read_per_mtok\":\"53.109640\"}}",
     "080712086d6f64656c5f3933180782015a0a056f72675f3112086d6f64656c2f31331a0866616c6c6261636b220c0"
     "a0670726f765f3412026d3022100a0670726f765f3212026d3118afb03c2a1408e8c2b64e1088d9ee3518908ed332"
     "2092ccaa0e38b2f0a99588ecdc03"},
    {"model", "model_94", "model/14", 1019679470554378,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_3\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_3\",\"model\":\"m1\"},{\"provider\":\"prov_2\",\"model\":\"m2\","
     "\"weight\":334388},{\"provider\":\"prov_2\",\"model\":\"m3\"},{\"provider\":\"prov_3\","
     "\"model\":\"m4\",\"weight\":372210}],\"price\":{\"cache_write_per_mtok\":\"95.321017\","
     "\"cache_read_per_mtok\":\"79.364887\",\"output_per_mtok\":\"10.684556\",\"input_per_mtok\":"
     "\"55.653234\"}}",
     "080712086d6f64656c5f39341807820188010a056f72675f3112086d6f64656c2f31341a087765696768746564220"
     "c0a0670726f765f3312026d30220c0a0670726f765f3312026d3122100a0670726f765f3212026d3218b4b414220c"
     "0a0670726f765f3212026d3322100a0670726f765f3312026d3418f2db162a1408e4cd89351098a2980a18ae8cd84"
     "b20f2eef35a3894b4848a94d9cf03"},
    {"model", "model_95", "model/15", 1112469313189002,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_4\",\"model\":\"m0\",\"weight\":"
     "37202}],\"price\":{\"input_per_mtok\":\"66.403482\",\"cache_read_per_mtok\":\"60.094202\","
     "\"output_per_mtok\":\"64.519511\"},\"max_output_tokens\":98651935}",
     "080712086d6f64656c5f3935180782014c0a056f72675f3112086d6f64656c2f31351a0866616c6c6261636b22100"
     "a0670726f765f3412026d3018d2a2022a0f08b4f2a93f10aef5c33d18f4dba739309f9e852f3894d2e3a39ef2f90"
     "3"},
    {"model", "model_96", "model/16", 715783630164875,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_3\",\"model\":\"m0\",\"weight\":"
     "469659},{\"provider\":\"prov_4\",\"model\":\"m1\",\"weight\":91406}],\"max_output_tokens\":"
     "45680644}",
     "080712086d6f64656c5f3936180782014d0a056f72675f3112086d6f64656c2f31361a0866616c6c6261636b22100"
     "a0670726f765f3312026d30189bd51c22100a0670726f765f3412026d31188eca05308490e4153896ce98d08bc0c5"
     "02"},
    {"model", "model_97", "model/17", 858310018688570,
     "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_3\",\"model\":\"m0\",\"weight\":"
     "644761},{\"provider\":\"prov_2\",\"model\":\"m1\"}],\"price\":{\"cache_read_per_mtok\":\"59."
     "333549\",\"input_per_mtok\":\"54.258437\",\"cache_write_per_mtok\":\"2.640706\"}}",
     "080712086d6f64656c5f393718078201550a056f72675f3112086d6f64656c2f31371a08776569676874656422100"
     "a0670726f765f3312026d301899ad27220c0a0670726f765f3212026d312a0f088aacdf3318daeeca382084adc202"
     "38f498abfc9ba88603"},
    {"model", "model_98", "model/18", 878503308281478,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_2\",\"model\":\"m0\"},{"
     "\"provider\":\"prov_1\",\"model\":\"m1\",\"weight\":910612},{\"provider\":\"prov_2\","
     "\"model\":\"m2\",\"weight\":988203},{\"provider\":\"prov_3\",\"model\":\"m3\"},{\"provider\":"
     "\"prov_4\",\"model\":\"m4\",\"weight\":651800}],\"price\":{},\"max_output_tokens\":16538134}",
     "080712086d6f64656c5f3938180782017d0a056f72675f3112086d6f64656c2f31381a0866616c6c6261636b220c0"
     "a0670726f765f3212026d3022100a0670726f765f3112026d311894ca3722100a0670726f765f3212026d3218aba8"
     "3c220c0a0670726f765f3312026d3322100a0670726f765f3412026d341898e4272a003096b4f107388c9afed9cfb"
     "f8f03"},
    {"model", "model_99", "model/19", 1216302922705028,
     "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_2\",\"model\":\"m0\",\"weight\":"
     "793740},{\"provider\":\"prov_1\",\"model\":\"m1\",\"weight\":638987},{\"provider\":\"prov_"
     "3\",\"model\":\"m2\",\"weight\":518314},{\"provider\":\"prov_1\",\"model\":\"m3\"},{"
     "\"provider\":\"prov_2\",\"model\":\"m4\",\"weight\":86655}],\"max_output_tokens\":19360917}",
     "080712086d6f64656c5f3939180782017f0a056f72675f3112086d6f64656c2f31391a0866616c6c6261636b22100"
     "a0670726f765f3212026d30188cb93022100a0670726f765f3112026d31188b802722100a0670726f765f3312026d"
     "3218aad11f220c0a0670726f765f3112026d3322100a0670726f765f3212026d3418ffa4053095d99d093888a2adf"
     "a928ea904"},
};
